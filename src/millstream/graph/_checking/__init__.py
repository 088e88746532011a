"""What is wrong with a graph that compiles, found without running it.

`checks` is what others call. `structure` gathers what is declared, `sources` and `reading` what the
code of nodes and paths shows; `routes`, `keys`, `waiting` and `surroundings` hold the checks, each
a function of these facts without I/O. `certain` warns, when a graph is compiled, of what needs no
guess. docs/checks.md explains each code.
"""
