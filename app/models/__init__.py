"""The API `dr.bkbcs.tencent.com/v1alpha1` as pydantic models."""
