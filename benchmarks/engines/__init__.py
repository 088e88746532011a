"""The same programs on other engines. Each module is run by the Python of their environment.

They import nothing of the benchmarks but `serving` and `timing`. Each program is in the form that
suits its engine best, and checks its result.
"""
