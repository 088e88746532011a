"""What a consumer sees of a run: events, and the forms in which they are given away.

`event` is the one type of everything a run says, `encoders` has every form that a consumer can ask
for, `jsonable` what JSON can hold.
"""
