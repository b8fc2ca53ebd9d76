"""The path of a call: authenticate → admit → route → call → relay → settle, one module each; `run` walks it.

Steps pass plain data (`types`), know no HTTP and no dialect, and fail with `CallError`.
"""
