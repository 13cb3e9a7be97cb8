"""`report.html`, one self-contained page of a run, and the pictures of its folder."""

from headspex.report.page import write_report as write_report
from headspex.report.publishing import publish as publish
