"""The bench: ours and Podman side by side, as ratios, on one machine in one run.

__main__.py   the options, the table
work.py       what is measured, a function per row
floor.py      the shortest program that makes the same container: what the kernel itself costs
images.py     a large image for pulls
"""
