/** Model files for the fleet. Callers' own files do not lie here: they are in the edge's object storage. */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { BlockPublicAccess, Bucket, BucketEncryption, ObjectOwnership } from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";

const noncurrentKeptDays = 30;
const logsKeptDays = 90;

export class ModelBucket extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const common = {
      enforceSSL: true,
      encryption: BucketEncryption.S3_MANAGED,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      removalPolicy: RemovalPolicy.RETAIN,
    } as const;
    const accessLogs = new Bucket(this, "AccessLogs", {
      ...common,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
      lifecycleRules: [{ expiration: Duration.days(logsKeptDays) }],
    });
    this.bucket = new Bucket(this, "Models", {
      ...common,
      versioned: true,
      serverAccessLogsBucket: accessLogs,
      lifecycleRules: [
        {
          noncurrentVersionExpiration: Duration.days(noncurrentKeptDays),
          abortIncompleteMultipartUploadAfter: Duration.days(1),
        },
      ],
    });
  }
}
