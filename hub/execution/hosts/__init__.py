"""What model processes and Ray replicas have in common: each is a host of models, and an executor has several."""
