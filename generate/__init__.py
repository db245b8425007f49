"""What is made from the code and committed: CRDs, pages of docs/, the chart's README and schema. Not in the wheel."""
