"""The queue of trials, compared with sorting."""

from hypothesis import given
from hypothesis import strategies as st

from tunedsl.kernel.queue import TrialQueue

numbers = st.integers(0, 12)
places = st.none() | st.integers(0, 3)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("set"), numbers, places),
        st.tuples(st.just("delete"), numbers, st.none()),
        st.tuples(st.just("take"), st.integers(0, 3), st.none()),
    ),
    max_size=60,
)


@given(operations)
def test_it_takes_the_trials_that_sorting_would(done):
    queue, reference = TrialQueue(), {}
    for what, number, place in done:
        earlier, before = queue, dict(reference)
        if what == "set":
            queue, reference[number] = queue.set(number, place), place
        elif what == "delete" and number in queue:
            queue = queue.delete(number)
            del reference[number]
        elif what == "take":
            taken, queue = queue.take(number)
            assert taken == sorted(reference, key=lambda each: (reference[each] or 0, each))[:number]
            for each in taken:
                del reference[each]
        assert set(queue) == set(reference) and len(queue) == len(reference)
        assert all((each in queue) == (each in reference) for each in range(13))
        assert set(earlier) == set(before), "an operation leaves the earlier queue as it was"


def test_taking_one_looks_at_few_of_many():
    """Law: no step of a run takes time that grows with the number of trials that wait."""

    class Counted(int):
        compared = 0

        def __lt__(self, other):
            Counted.compared += 1
            return int(self) < int(other)

    queue = TrialQueue().update({number: Counted(50_000 - number) for number in range(50_000)})
    Counted.compared = 0
    for expected in range(49_999, 49_899, -1):
        taken, queue = queue.take(1)
        assert taken == [expected]
    assert Counted.compared < 100 * 40
