"""What a person runs beside `dvc repro`: one file a command, found by its name."""
