"""The report of a run: its result as plain data for a JSON file, the verdict, and a summary for people.

Runs wherever a run ends: in the node, or in the command line client. May import: metrics.

    course = Course()                     # what a single status cannot show: peaks over the run
    course.observe(status)                # once a second while it runs
    data = result(status, course)         # plain data: json.dumps(data)
    console.print(Summary(data))          # or summary_text(data)
"""

from amoc.report.course import Course
from amoc.report.result import FORMAT, result
from amoc.report.summary import Summary, summary_text
from amoc.report.verdict import judge

__all__ = ["FORMAT", "Course", "Summary", "judge", "result", "summary_text"]
