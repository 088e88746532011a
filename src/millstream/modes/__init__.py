"""What a consumer sees of a run, by stream mode, and the forms in which it is given away.

`projectors` turns what the machine tells into payloads, the taps (`message_tap`, `tool_tap`) what
models and tools say. A payload travels as a part (`parts`), and where a log is kept it becomes an
`event`. `encoders` has every form that a consumer can ask for, `jsonable` what JSON can hold.
"""
