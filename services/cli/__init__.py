"""`tocsin …`. One file per command or group of commands.

What takes long to import is imported inside the commands, so that help and refusals come at once. Commands that ask a running
Tocsin speak HTTP only; the others work on the file, storage folder, Kafka or database they are given.
Exit status: 0 done, 1 refused or failed (said on standard error), 2 wrong usage.
"""
