"""Reading what a teacher wrote: any text becomes pieces, well-formed or with their problem, and none of it is lost.

Nothing a model writes can raise out of here, and the time is linear in the length of the text. Of every function
here holds: the `raw` of the pieces, in order, make up the text again (blank pieces apart), and a text that was cut
off by the token limit makes its last piece malformed, unless that is a JSON object with its closing brace.

| function | the teacher was asked for | forms understood |
| --- | --- | --- |
| `parse_tasks` | tasks without their answers | numbered series, JSON |
| `parse_examples` | tasks with their answers | numbered series, JSON |
| `parse_instances` | instances of one task, input first | `Input: ... Output: ...`, after `Example 2` or not |
| `parse_labelled_instances` | instances of a classification task, output first | `Class label: ...`, then the input |
"""

from sedi_dagster.generation.parsing.instances import parse_instances, parse_labelled_instances
from sedi_dagster.generation.parsing.pieces import ParsedTask
from sedi_dagster.generation.parsing.series import parse_examples, parse_tasks

__all__ = ["ParsedTask", "parse_examples", "parse_instances", "parse_labelled_instances", "parse_tasks"]
