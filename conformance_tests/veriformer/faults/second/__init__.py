"""A second family of small implementations, written independently of the reference, with catalogued faults as switches.

Each module here may define ``SECOND``: from a catalogued fault's id to the builds that express it in this style. The catalogue adds
them to the entry's ``builds``.
"""
