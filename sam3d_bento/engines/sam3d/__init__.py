"""Meta's SAM 3D Objects: its real code, loaded once, within the memory of the card, and cancellable.

Nothing outside this package imports torch. What upstream needs and does not find, and what it does for another
purpose than serving, is replaced from outside: no upstream file is changed.
"""
