"""The errors that a frozen graph of the user's own can cause."""


class GraphError(ValueError):
  """A frozen graph that cannot be used; the message says what to do."""


class UnsafeGraphError(GraphError):
  """A graph with an operation that a network never needs, such as ReadFile."""


class UnsupportedOpError(GraphError):
  """A graph with an operation for which the asked method has no rule."""
