"""The same program on millstream and on installed langgraph: same events, results and errors.

`programs/` holds the programs, `harness` records one under every setting, `render` turns what
was recorded into comparable lines, `ordering` compares parallel work without its timing, and
`differences` names what may differ. Read `registry` first.
"""
