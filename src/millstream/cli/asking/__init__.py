"""Questions of a run, answered on the terminal where they are asked.

`conversation` says what a conversation is and has what all of them share, `schemas` asks for what a
JSON schema describes, `reviews` for decisions about tool calls; both are generators that do no I/O.
`questions` prints what is asked and reads what is typed.
"""
