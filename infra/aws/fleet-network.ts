/** Where the workers live: two zones, no way in, one way out (to SQS, to the edge, to the model hub). */
import { Validations } from "aws-cdk-lib";
import {
  FlowLogDestination,
  GatewayVpcEndpointAwsService,
  SubnetType,
  Vpc,
} from "aws-cdk-lib/aws-ec2";
import { Construct } from "constructs";

export class FleetNetwork extends Construct {
  readonly vpc: Vpc;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.vpc = new Vpc(this, "Vpc", {
      maxAzs: 2,
      natGateways: 1,
      restrictDefaultSecurityGroup: false,
      subnetConfiguration: [
        { name: "public", subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false },
        { name: "workers", subnetType: SubnetType.PRIVATE_WITH_EGRESS },
      ],
      gatewayEndpoints: { S3: { service: GatewayVpcEndpointAwsService.S3 } },
    });
    this.vpc.addFlowLog("FlowLog", { destination: FlowLogDestination.toCloudWatchLogs() });
    Validations.of(this.vpc).acknowledge({
      id: "AwsSolutions-EC28",
      reason: "The network holds no instance of its own.",
    });
  }
}
