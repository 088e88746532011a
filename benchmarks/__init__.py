"""Paired comparisons with langgraph and with hand-written code: `python -m benchmarks`.

`harness` measures, `rows` says what a row and a goal are, `report` prints; each other module holds
the rows of one area and lists them in `AREAS` of `__main__`. Read `rows` first.
"""
