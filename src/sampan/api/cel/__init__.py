"""Common Expression Language: text to closures, with types, costs and Kubernetes' libraries.

`lexer`, `parser` (to the tree of `ast`), `checker` (with `types`), `compiler` (with `macros`, `arithmetic`), `environment`
puts them together; `values`, `temporal` are what expressions work on; `library` has the functions; `estimate` tells costs
beforehand; `schemas`, `escaping` bring structural schemas in.
Source: github.com/google/cel-spec; k8s.io/apiserver `pkg/cel`.
"""
