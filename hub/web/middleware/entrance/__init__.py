"""How people come in and leave: the form, sign-in at a provider or on a Space, signing out, and why some may not."""
