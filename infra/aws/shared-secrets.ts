/**
 * What edge and worker must both know, kept in Secrets Manager: `npm run deploy` copies it to the edge, ECS gives it to
 * the worker's container. The keys of the object storage are written by `npm run deploy`; everything else is made here.
 */
import { RemovalPolicy, SecretValue, Validations } from "aws-cdk-lib";
import { AccessKey, type User } from "aws-cdk-lib/aws-iam";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";

const rotationReason =
  "Both sides read it at their own deploy, so it is rotated by one: npm run deploy -- --rotate-callback-secret.";

export class SharedSecrets extends Construct {
  readonly callback: Secret;
  readonly operatorKey: Secret;
  /** `accessKeyId` and `secretAccessKey` of the S3 API of the edge's object storage. */
  readonly objectStorage: Secret;
  /** `accessKeyId` and `secretAccessKey` of the user that may send to the queue. */
  readonly edgeKeys: Secret;

  constructor(scope: Construct, id: string, edgeUser: User) {
    super(scope, id);
    const accessKey = new AccessKey(this, "EdgeAccessKey", { user: edgeUser });
    this.callback = this.#generated("Callback", "signs what workers post to the edge");
    this.operatorKey = this.#generated("OperatorKey", "lifts the free tier's limits");
    this.objectStorage = this.#add("ObjectStorage", {
      description: "Keys of the edge's object storage, written by npm run deploy",
      secretObjectValue: {
        accessKeyId: SecretValue.unsafePlainText("unset"),
        secretAccessKey: SecretValue.unsafePlainText("unset"),
      },
    });
    this.edgeKeys = this.#add("EdgeKeys", {
      description: "Keys with which the edge sends to the job queue",
      secretObjectValue: {
        accessKeyId: SecretValue.unsafePlainText(accessKey.accessKeyId),
        secretAccessKey: accessKey.secretAccessKey,
      },
    });
  }

  #generated(id: string, what: string): Secret {
    return this.#add(id, {
      description: `LLM OS: ${what}`,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
  }

  #add(id: string, props: ConstructorParameters<typeof Secret>[2]): Secret {
    const secret = new Secret(this, id, { ...props, removalPolicy: RemovalPolicy.DESTROY });
    Validations.of(secret).acknowledge({ id: "AwsSolutions-SMG4", reason: rotationReason });
    return secret;
  }
}
