"""What can be concluded from scores of several runs and from what they said of each text. Plain numbers in and out."""
