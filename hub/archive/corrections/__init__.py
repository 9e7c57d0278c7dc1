"""What people say was right or wrong about answers: checked, kept with what it is of, and made into a dataset."""
