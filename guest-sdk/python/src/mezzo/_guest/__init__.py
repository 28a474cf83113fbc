"""The inside of a component: the only modules that know the bindings, which `componentize-py` makes of the contract.

Nothing here is imported natively.
"""
