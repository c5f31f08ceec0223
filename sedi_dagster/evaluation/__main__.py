from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.workload import run_workload

run_workload("Let the student answer evaluation items, and score the answers.", evaluate)
