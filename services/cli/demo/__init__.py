"""`tocsin demo`: a short outage, played on a real Tocsin in a temporary folder.

`stage` is that Tocsin and how it is asked, `story` what happens on it, `narrator` how it is told.
"""
