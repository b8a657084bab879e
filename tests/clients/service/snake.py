# SPDX-License-Identifier: Apache-2.0
def main(args):
    return {"text": args.get("text", "nothing").upper()}
