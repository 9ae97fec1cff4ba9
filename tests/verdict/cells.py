"""A cell: one backup, what was planted into it, and the verdict that it has to get."""
import dataclasses
import re
import typing


@dataclasses.dataclass
class Cell:
    name: str                       # also the replica's: lower-case words and dashes
    grades: tuple = ("clean",)      # one of these
    stage: str = ""                 # a pattern; "": any
    cause: str = ""                 # a pattern that the sentence holds; only of what is not healthy
    owner: str = ""                 # who has to do something: backup, cluster, image, credentials; "": nobody, it is healthy
    disarmed: tuple = ()            # patterns, one line each
    notes: tuple = ()               # ditto
    repaired: tuple = ()            # ditto, of health_details.repaired
    rows: typing.Optional[int] = None
    intent: str = "verify"
    params: dict = dataclasses.field(default_factory=dict)
    prefix: str = ""                # of the repository, where it is another one
    says: dict = dataclasses.field(default_factory=dict) # further members of its entry: engine, storage, ...
    act: typing.Optional[typing.Callable] = None # (trial, cell, volume), done to it on the way:
    act_on: str = ""                # "volume", before anything is restored, or "data", before a database starts from it
    question: tuple = ()            # (database, query, answer), asked by a user of the replica
    major: int = 15
    restored_major: int = 0         # of the database that comes up, where that is another
    capture: str = ""               # in words
    kills: int = 0                  # how often a process of it was killed

    def wrongs(self, report):
        """What is not as it has to be, one text each."""
        if report is None:
            return ["no report came"]
        details = report.get("health_details", {})
        wrong = []
        is_healthy = self.grades[0] in ("clean", "repaired")

        def must(what, is_so):
            if not is_so:
                wrong.append(what)

        grade, cause = details.get("grade"), details.get("cause", "")
        must(f"grade {grade}, not {' or '.join(self.grades)}", grade in self.grades)
        is_said_healthy = grade in ("clean", "repaired")
        must(f"replica_healthy {report.get('replica_healthy')} with grade {grade}", report.get("replica_healthy") is is_said_healthy)
        must(f"outcome {report.get('outcome')} with grade {grade}", report.get("outcome") == ("success" if is_said_healthy else "failure"))
        must(f"stage {details.get('stage')}, not {self.stage}", re.search(self.stage, details.get("stage", "")))
        if not is_healthy:
            must(f"cause \"{cause}\" has no /{self.cause}/", re.search(self.cause, cause, re.I))
            must(f"cause \"{cause}\" is no sentence of one line", cause.strip() and "\n" not in cause and len(cause) <= 500)
            must("the error does not have the cause", cause in report.get("error", ""))
            must(f"owner {details.get('owner')}, not {self.owner}", details.get("owner") == self.owner)
        else:
            must(f"an error in a healthy report: {report.get('error')}", not is_said_healthy or "error" not in report)
            must(f"rows_read {details.get('rows_read')}, not {self.rows}", self.rows is None or details.get("rows_read") == self.rows)
        for key in ("disarmed", "notes", "repaired"):
            said = [line if isinstance(line, str) else str(line) for line in details.get(key) or []]
            for pattern in getattr(self, key):
                must(f"{key} {said} has no /{pattern}/", any(re.search(pattern, line, re.I) for line in said))
        return wrong

    def said(self, report):
        """The verdict in a line."""
        details = (report or {}).get("health_details", {})
        words = [details.get("grade", "no report"), details.get("stage", ""), details.get("owner", "")]
        return " ".join(word for word in words if word) + (f": {details['cause']}" if details.get("cause") else "")
