"""One benchmark a file, found by the file's name; `base` and names with a leading "_" are not benchmarks.

A benchmark has a function `rows(sizes, repeat)` that yields `base.Row`s. One that takes minutes or gigabytes says
`BIG = True`: "all" leaves it out.
"""
