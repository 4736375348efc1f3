"""The one verdict: what is so (`gather*`), as plain values (`facts`), and what of it is wrong (`rules*`, pure).

Each finding names what mends it. Nothing is changed, and how a broker is started here is told by who asks.
"""
