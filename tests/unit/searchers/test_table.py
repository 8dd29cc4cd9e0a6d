"""The table of searchers, which is made from what they declare."""

from tunedsl.searchers.table import rows, table


def test_every_searcher_has_a_row_with_its_source():
    found = {row["searcher"]: row for row in rows()}
    assert {"`tpe`", "`bohb`", "`evolution`", "`zoopt`", "`random_search`", "`sobol`"} <= set(found)
    assert {name for name, row in found.items() if not row["source"]} <= {"`dragonfly`", "`sigopt`"}  # never run
    assert found["`tpe`"]["objectives"] == "any" and found["`bohb`"]["intermediate"] == "yes"
    assert found["`sobol`"]["install"] == "`pip install 'tunedsl[sobol]'`" and not found["`tpe`"]["install"]


def test_the_table_is_markdown():
    lines = table().splitlines()
    assert len({line.count(" | ") for line in lines}) == 1 and len(lines) == len(rows()) + 2
