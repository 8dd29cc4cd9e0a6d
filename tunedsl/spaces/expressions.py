"""Expressions over named values: built by operators, frozen, compared by structure.

Parameters (`ref`) and stop conditions use the same expressions with leaves of their own. A leaf is a subclass of `Expr`
with `@value(eq=False)` and no `Expr` among its fields. Evaluation is in `evaluation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self
from typing import Literal as OneOf

from tunedsl.base import codec
from tunedsl.base.arguments import as_text, check_arguments, public, public_class
from tunedsl.base.codec import data_fields, value
from tunedsl.base.diagnostics import reason, shorten
from tunedsl.base.errors import ArgumentError, CodecError, wrong_value
from tunedsl.base.references import Literal, import_reference
from tunedsl.base.standard_types import scalar
from tunedsl.base.verbs import provide, verb

Confidence = OneOf["low", "medium", "high"]


class Node:
    """A domain or an expression: a parameter that is neither a constant nor a nested space."""

    __slots__ = ()

    @check_arguments
    def when(self, condition: Expr) -> When:
        """This parameter, only in configurations that meet `condition`.

        Args:
            condition: an expression over other parameters; it is not met if one of them is missing.

        Raises:
            ArgumentError: for an argument that is not an expression.

        Example:
            >>> from tunedsl.spaces import ref, uniform
            >>> uniform(0, 1).when(ref("optimizer") == "sgd")
            uniform(0.0, 1.0).when(ref('optimizer') == 'sgd')
        """
        return When(self, as_condition("when", condition))

    @check_arguments
    def prior(self, centre: Any, confidence: Confidence = "medium") -> Self:
        """This domain, with the belief that good values are near `centre`.

        Searchers try the centre first, and then propose values near it more often. The belief counts less with each
        result, so a wrong one costs little. `check` warns about a searcher that ignores it.

        Args:
            centre: a value of the domain; for named spaces, a name.
            confidence: how narrow the belief is. For numbers it is a normal distribution on the domain's own scale,
                whose standard deviation is 0.3, 0.15 or 0.075 of the domain for `low`, `medium` and `high`. For
                choices, the option is 2, 4 or 8 times as likely as each other one.

        Raises:
            ArgumentError: for a centre outside the domain, another word, or what has no domain of several values to
                draw from: a grid, a function, an expression.

        Example:
            >>> from tunedsl.spaces import choice, loguniform
            >>> loguniform(1e-5, 1e-1).prior(1e-3)
            loguniform(1e-05, 0.1).prior(0.001)
            >>> choice(["sgd", "adam"]).prior("adam", confidence="high")
            choice(['sgd', 'adam']).prior('adam', confidence='high')
        """
        believed: Self = verb("with_prior")(self, centre, confidence)
        return believed


provide(with_prior="tunedsl.spaces.priors:with_prior")


@value(repr=False)
class When(Node):
    """A domain or an expression that exists only where a condition over other parameters holds."""

    node: Node
    condition: Expr

    def __repr__(self) -> str:
        shown = _operand_repr(self.node) if isinstance(self.node, Expr) else repr(self.node)
        return f"{shown}.when({self.condition!r})"


@public_class
class Expr(Node):
    """An expression. `==` and the other operators build expressions.

    The truth value of `a == b` is whether both sides have the same structure, and of `a != b` whether they do not, so
    that values with expressions in them compare and hash by value.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Expr:
        return Binary("+", self, as_operand(other))

    def __radd__(self, other: Any) -> Expr:
        return Binary("+", as_operand(other), self)

    def __sub__(self, other: Any) -> Expr:
        return Binary("-", self, as_operand(other))

    def __rsub__(self, other: Any) -> Expr:
        return Binary("-", as_operand(other), self)

    def __mul__(self, other: Any) -> Expr:
        return Binary("*", self, as_operand(other))

    def __rmul__(self, other: Any) -> Expr:
        return Binary("*", as_operand(other), self)

    def __truediv__(self, other: Any) -> Expr:
        return Binary("/", self, as_operand(other))

    def __rtruediv__(self, other: Any) -> Expr:
        return Binary("/", as_operand(other), self)

    def __floordiv__(self, other: Any) -> Expr:
        return Binary("//", self, as_operand(other))

    def __rfloordiv__(self, other: Any) -> Expr:
        return Binary("//", as_operand(other), self)

    def __mod__(self, other: Any) -> Expr:
        return Binary("%", self, as_operand(other))

    def __rmod__(self, other: Any) -> Expr:
        return Binary("%", as_operand(other), self)

    def __pow__(self, other: Any) -> Expr:
        return Binary("**", self, as_operand(other))

    def __rpow__(self, other: Any) -> Expr:
        return Binary("**", as_operand(other), self)

    def __neg__(self) -> Expr:
        return Unary("-", self)

    def __abs__(self) -> Expr:
        return Unary("abs", self)

    def __lt__(self, other: Any) -> Compare:
        return Compare("<", self, as_operand(other))

    def __le__(self, other: Any) -> Compare:
        return Compare("<=", self, as_operand(other))

    def __gt__(self, other: Any) -> Compare:
        return Compare(">", self, as_operand(other))

    def __ge__(self, other: Any) -> Compare:
        return Compare(">=", self, as_operand(other))

    def __eq__(self, other: object) -> Compare:  # type: ignore[override]
        return Compare("==", self, as_operand(other))

    def __ne__(self, other: object) -> Compare:  # type: ignore[override]
        return Compare("!=", self, as_operand(other))

    def __and__(self, other: Any) -> And:
        return And(self, _joined("&", other))

    def __rand__(self, other: Any) -> And:
        return And(_joined("&", other), self)

    def __or__(self, other: Any) -> Or:
        return Or(self, _joined("|", other))

    def __ror__(self, other: Any) -> Or:
        return Or(_joined("|", other), self)

    def __invert__(self) -> Not:
        return Not(self)

    def __hash__(self) -> int:
        return hash((type(self).__name__, *_compared_fields(self)))

    def __bool__(self) -> bool:
        raise ArgumentError(
            "E003",
            "expression",
            f"The condition {shorten(repr(self))} has no truth value until there is a configuration or a result.",
            "use & | ~ instead of and, or, not; write a chain a < b < c as (a < b) & (b < c)",
        )


@value(eq=False)
class Constant(Expr):
    """A user's constant inside an expression."""

    literal: Literal

    def __repr__(self) -> str:
        return repr(self.literal)


@value(eq=False)
class Ref(Expr):
    """The value of another parameter, by its name or its dotted path."""

    path: str

    def __repr__(self) -> str:
        return f"ref({self.path!r})"


@value(eq=False)
class Unary(Expr):
    """`op` of `evaluation.UNARY` applied to one operand."""

    op: str
    operand: Expr

    def __repr__(self) -> str:
        return f"abs({self.operand!r})" if self.op == "abs" else f"{self.op}{_operand_repr(self.operand)}"


@value(eq=False)
class Binary(Expr):
    """`op` of `evaluation.ARITHMETIC` applied to two operands."""

    op: str
    left: Expr
    right: Expr

    def __repr__(self) -> str:
        return f"{_operand_repr(self.left)} {self.op} {_operand_repr(self.right)}"


@value(eq=False)
class Compare(Expr):
    """`op` of `evaluation.COMPARISONS` applied to two operands."""

    op: str
    left: Expr
    right: Expr

    def __repr__(self) -> str:
        return f"{_operand_repr(self.left)} {self.op} {_operand_repr(self.right)}"

    @public
    def __bool__(self) -> bool:
        if self.op not in ("==", "!="):
            return Expr.__bool__(self)  # attrs cannot rewrite a bare `super()` inside a wrapped method
        return is_same_expr(self.left, self.right) is (self.op == "==")


@value(eq=False)
class And(Expr):
    """Both hold."""

    left: Expr
    right: Expr

    def __repr__(self) -> str:
        return f"{_operand_repr(self.left)} & {_operand_repr(self.right)}"


@value(eq=False)
class Or(Expr):
    """At least one holds."""

    left: Expr
    right: Expr

    def __repr__(self) -> str:
        return f"{_operand_repr(self.left)} | {_operand_repr(self.right)}"


@value(eq=False)
class Not(Expr):
    """The operand does not hold."""

    operand: Expr

    def __repr__(self) -> str:
        return f"~{_operand_repr(self.operand)}"


@check_arguments
def ref(path: str) -> Ref:
    """The value of another parameter, for expressions and conditions.

    A name is looked up in the space where it is written, then in the enclosing spaces. The value of a branch is the
    chosen name.

    Args:
        path: a parameter's name, or a dotted path such as `"model.svm.C"`.

    Raises:
        ArgumentError: for a path that is not a string.

    Example:
        >>> (ref("width") * 2 <= 64) & (ref("optimizer") == "sgd")
        ((ref('width') * 2) <= 64) & (ref('optimizer') == 'sgd')
    """
    return Ref(as_text("ref.path", path))


def as_operand(item: Any) -> Expr:
    """`item` as an expression: itself, or a constant, which no set is: no comparison of one says what users mean."""
    if isinstance(item, (set, frozenset)):
        hint = "compare with each of its values, joined by |"
        raise wrong_value("expression", item, "a number, text or another constant", hint)
    return item if isinstance(item, Expr) else Constant(as_literal("expression", item))


def _joined(operator: str, item: Any) -> Expr:
    """An operand of `&` or `|`; raises `ArgumentError` for a number, which belongs to a comparison next to it."""
    plain = scalar(item)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        message = f"{operator} joins conditions, but {plain!r} is a number: {operator} binds more tightly than <."
        hint = f"put each comparison in parentheses: (a < 1) {operator} (b > 2)"
        raise ArgumentError("E003", "expression", message, hint)
    return as_operand(item)


def as_condition(subject: str, item: Any) -> Expr:
    """`item` if it is an expression, else `ArgumentError`."""
    if not isinstance(item, Expr):
        raise wrong_value(subject, item, 'a condition, such as ref("optimizer") == "sgd"')
    return item


def as_literal(subject: str, item: Any) -> Literal:
    """`item` as a literal.

    Raises:
        ArgumentError: for an item that contains a domain or an expression, or is neither data nor importable.
    """
    node = next(find_nodes(item), None)
    if node is not None:
        message = f"{subject} is a constant, but contains {shorten(repr(node))}."
        raise ArgumentError("E003", subject, message, "nest domains and expressions in a dict of parameters")
    try:
        literal = Literal.of(item)
        if '"$object"' in literal.text:
            codec.from_json(literal.text, import_reference)
    except CodecError as error:
        ray = type(item).__module__.startswith("ray.tune.")
        hint = "write tunedsl.integrations.space_from_ray({...}) for Ray Tune's domains" if ray else ""
        hint = hint or "write a number, text, list or dict, or a class or function that can be imported"
        raise ArgumentError("E003", subject, f"{subject} is not a constant: {reason(error)}.", hint) from None
    return literal


def find_nodes(item: Any) -> Iterator[Any]:
    """Domains, expressions and spaces anywhere inside plain containers."""
    if isinstance(item, Node) or hasattr(type(item), "__space__"):
        yield item
    elif isinstance(item, (list, tuple)):
        for part in item:
            yield from find_nodes(part)
    elif isinstance(item, Mapping):
        for part in item.values():
            yield from find_nodes(part)


def is_same_expr(left: Any, right: Any) -> bool:
    """Whether two expressions have the same structure."""
    return left is right or (type(left) is type(right) and _compared_fields(left) == _compared_fields(right))


def operands(expr: Expr) -> tuple[Expr, ...]:
    """The expressions that `expr` is directly built from; empty for leaves and constants."""
    return tuple(part for part in _compared_fields(expr) if isinstance(part, Expr))


def leaves(expr: Expr) -> Iterator[Expr]:
    """The leaves of `expr` from left to right, constants left out."""
    inner = operands(expr)
    if not inner and not isinstance(expr, Constant):
        yield expr
    for part in inner:
        yield from leaves(part)


def map_leaves(change: Callable[[Expr], Expr], expr: Expr) -> Expr:
    """`expr` with each leaf replaced by `change(leaf)`."""
    if isinstance(expr, Constant):
        return expr
    if not operands(expr):
        return change(expr)
    parts = (map_leaves(change, part) if isinstance(part, Expr) else part for part in _compared_fields(expr))
    return type(expr)(*parts)


def _compared_fields(expr: Any) -> tuple[Any, ...]:
    return tuple(getattr(expr, field.name) for field in data_fields(type(expr)))


def _operand_repr(expr: Node) -> str:
    """The text of `expr` as an operand, in parentheses where Python's precedence requires them."""
    shown = repr(expr)
    compound = isinstance(expr, (Binary, Compare, And, Or, Not)) or (isinstance(expr, Unary) and expr.op != "abs")
    return f"({shown})" if compound or shown.startswith("-") else shown
