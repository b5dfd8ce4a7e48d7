"""Takes all objects of a bucket into a folder, a file each, and tells how many uploads were begun and not ended.

bucket.py ENDPOINT BUCKET FOLDER
"""

import os
import sys

import boto3
from botocore.config import Config

endpoint, bucket, folder = sys.argv[1:]
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="a",
    aws_secret_access_key="s",
    config=Config(s3={"addressing_style": "path"}),
)
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
    for entry in page.get("Contents", []):
        path = os.path.join(folder, entry["Key"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        client.download_file(bucket, entry["Key"], path)
print(len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])))
