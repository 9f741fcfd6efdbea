"""The shape language: axes, annotations, unification, and what each operation does to a shape.

Nothing here knows of mypy or torch: values go in, values or a `Misfit` come out.
"""
