"""`python -m sam3d_bento.cli`: the command `sam3d-bento` where it is not installed, as in the image."""

from sam3d_bento.cli.main import main

main()
