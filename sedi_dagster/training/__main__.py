from sedi_dagster.training.job import describe
from sedi_dagster.training.sft import train
from sedi_dagster.workloads.process import workload_main

workload_main("Fine-tune the student on a round's composed training batches.", train, describe())
