"""Run Meta's SAM 3D Objects with its own code: loaded once, within the memory of the card, and cancellable.

Nothing outside this package imports torch. No upstream file is changed. Packages that upstream needs and that are
missing, and code of it that has another purpose than serving, are replaced from outside.
"""
