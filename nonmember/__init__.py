"""nonmember: classifiers whose members look like non-members, and the attacks that check it."""
