"""Questions to ClickHouse and their answers as plain values, for the console, its JSON and the command line alike.

Nothing here knows who asks, writes anything, or decides what a fact is: the numbers are those of the views. Times are
UTC and aware, money is exact in major units beside its currency unless a name says `minor`, days are the accounts'.
"""
