"""The API as data: wire types (generated, one package a group), scalars, resources, selectors, quantities, patches.

Pure: nothing below this package knows about servers, sockets or time.
"""
