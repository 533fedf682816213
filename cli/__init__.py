"""The command line, `wharfie`: the top floor. It imports `wharfie`, as any other program could, and nothing below it.

One file per noun. `catalog` lists the commands without importing them, `group` loads one when it is invoked; what
costs time to import (the client, ZeroMQ, rich) is imported by the function that needs it.
"""
