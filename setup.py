"""What pyproject.toml cannot say: the files of a project travel in the wheel, for `sedi init`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PROJECT = ("seeds/*.yaml", "seeds/*.jsonl", "seeds/rehearsal/*.yaml", "seeds/rehearsal/*.jsonl", "workspace.yaml",
           "dagster.yaml", ".env.example", "requirements/models.txt")  # fmt: skip


class WithProject(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:  # a checkout has them where they are
            return
        for pattern in PROJECT:
            for file in sorted(Path().glob(pattern)):
                target = Path(self.build_lib, "sedi_dagster", "project", file)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


setup(cmdclass={"build_py": WithProject})
