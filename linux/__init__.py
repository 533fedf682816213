"""System calls that Python lacks, one noun a module.

A ground floor: nothing here imports anything of ours outside this package, each module can be imported alone,
and none does work at import beyond looking up libc. Importing the package itself costs nothing.
"""
