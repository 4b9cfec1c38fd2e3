"""`tocsin doctor`: one line for each thing that Tocsin stands on, and what to do about it.

It looks and changes nothing, beside a Tocsin that runs or without one. What only comes into being at the first start is a
warning; a failure is what would keep alerts from being decided or people from being told.
"""
