"""Scripts for those who work on the project; the package and the pipeline need none of them."""
