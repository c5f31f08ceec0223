from sedi_dagster.evaluation.answering import evaluate
from sedi_dagster.workloads.process import workload_main

workload_main("Let the student answer evaluation items, and score the answers.", evaluate)
