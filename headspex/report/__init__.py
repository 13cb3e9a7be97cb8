"""`report.html`: one self-contained page of a run, for people."""

from headspex.report.page import write_report as write_report
