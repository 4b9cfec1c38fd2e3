"""What is known beside alerts, and the answer to: are we having one?"""
